// Scripts of every page: the drop area, rows, local times, the theme switch.
// The result page is updated by htmx attributes.

const MAX_UPLOADS_AT_ONCE = 3;
const POLL_MS = 1000;
const FAST_POLL_MS = 120;
const FAST_POLLING_MS = 3000;

// Whether an element uses keys itself: a field, or a dialog. A field of a dialog that was just closed
// keeps the focus until the next frame, although it is not shown.
const usesKeys = (element) => element.checkVisibility() && Boolean(element.closest("input, select, textarea, dialog"));

class SonoDrop extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form.drop");
    this.input = this.form.querySelector("input[type=file]");
    this.rows = this.querySelector("[data-rows]");
    this.waiting = [];
    this.sending = 0;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(this.input.files);
    });
    this.input.addEventListener("change", () => this.add(this.input.files));
    this.add(this.input.files); // files chosen before this script loaded
    for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      this.form.addEventListener(type, (event) => {
        event.preventDefault();
        this.form.classList.toggle("over", over);
        if (type === "drop") this.dropped(event.dataTransfer);
      });
    }
    for (const form of this.querySelectorAll("form[data-sample]")) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const body = new FormData(form);
        const checkpoint = this.form.elements.checkpoint?.value;
        if (checkpoint) body.set("checkpoint", checkpoint);
        this.enqueue(form.querySelector("button").textContent, form.action, body);
      });
    }
  }

  // Accepts only single sounds. For a folder or a ZIP, shows a link to the batch page.
  dropped(transfer) {
    const folder = [...transfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
    const zip = [...transfer.files].some((file) => file.name.toLowerCase().endsWith(".zip"));
    this.querySelector("[data-folder]").hidden = !(folder || zip);
    if (!folder && !zip) this.add(transfer.files);
  }

  add(files) {
    const several = files.length > 1;
    for (const file of files) {
      const problem = problemOf(file, this.dataset);
      if (problem) {
        this.refuse(file.name, problem);
        continue;
      }
      const body = new FormData(this.form);
      body.set("file", file);
      this.enqueue(file.name, this.form.action, body);
    }
    this.input.value = "";
    if (several) {
      this.alone = null; // the others may have been refused
      this.reveal();
    }
  }

  // Shows the first row, which is below the fold on a phone. The focus stays where it is.
  reveal() {
    if (this.rows.firstElementChild.getBoundingClientRect().bottom <= innerHeight) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.rows.closest("section").scrollIntoView({ behavior: calm ? "auto" : "smooth" });
  }

  addRow(className, content, name) {
    this.querySelector("[data-empty]")?.remove();
    const row = document.createElement("li");
    row.className = `row ${className}`;
    row.innerHTML = `<span class="strip"></span>${content}`;
    row.querySelector(".name").textContent = name;
    this.rows.prepend(row);
    return row;
  }

  // A file that is not sent, as in _refused.html.
  refuse(name, { detail, hint }) {
    const row = this.addRow("failed refused", `<span class="what"><span><strong class="bad">Refused</strong>
      <span data-detail></span> <span class="quiet" data-hint></span></span></span>
      <span class="name"></span><span class="length"></span><span class="when quiet small">not sent</span>`, name);
    row.querySelector("[data-detail]").textContent = detail;
    row.querySelector("[data-hint]").textContent = hint;
    this.failed(row);
  }

  failed(row) {
    const [name, what] = [".name", ".what"].map((part) => row.querySelector(part).textContent.replace(/\s+/g, " ").trim());
    this.querySelector("sono-rows [role=status]").textContent = `${name}: ${what}`;
    this.reveal();
  }

  enqueue(name, url, body) {
    const row = this.addRow("sending", `<span class="what"><strong>Sending</strong></span>
      <span class="name"></span><progress max="1" value="0"></progress>`, name);
    row.querySelector("progress").setAttribute("aria-label", `Sending ${name}`);
    // A sound that is sent alone leads to its page.
    this.alone = this.sending || this.waiting.length ? null : row;
    this.waiting.push({ row, url, body });
    this.next();
  }

  next() {
    while (this.sending < MAX_UPLOADS_AT_ONCE && this.waiting.length) {
      this.sending += 1;
      this.send(this.waiting.shift());
    }
  }

  // XMLHttpRequest, because fetch does not report upload progress.
  send({ row, url, body }) {
    const request = new XMLHttpRequest();
    const progress = row.querySelector("progress");
    request.open("POST", url);
    request.setRequestHeader("X-Requested-With", "fetch");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress.value = event.loaded / event.total;
    });
    request.addEventListener("loadend", () => {
      // The response is a row, accepted or refused; otherwise a sign-in page or a server error.
      const fresh = rowOf(request.responseText);
      if (fresh && request.status >= 202 && request.status < 500) {
        row.replaceWith(fresh);
        fresh.closest("sono-rows").expect();
        const page = fresh.querySelector("a.what");
        if (!page) this.failed(fresh);
        else if (this.alone === row) location.assign(page.href);
      } else if (request.responseURL.includes("/account/")) {
        signIn();
      } else {
        this.offerAgain(row, url, body, request.status);
      }
      this.sending -= 1;
      this.next();
    });
    request.send(body);
  }

  offerAgain(row, url, body, status) {
    const name = row.querySelector(".name").textContent;
    row.querySelector(".what").innerHTML = `<span><strong class="bad">Not sent</strong> <span data-why></span></span> <button type="button" class="chip">Send again</button>`;
    row.querySelector("[data-why]").textContent = status
      ? `The server responded with status ${status}.`
      : "The connection was lost.";
    this.failed(row);
    row.querySelector(".what button").addEventListener("click", () => {
      row.remove();
      this.enqueue(name, url, body);
    });
  }
}

// After signing out in another tab. A reload would show visitors' front page instead of the Upload page.
const signIn = () => location.assign(`/account/sign-in/?next=${encodeURIComponent(location.pathname + location.search)}`);

const rowOf = (html) => {
  const holder = document.createElement("template");
  holder.innerHTML = html.trim();
  return holder.content.firstElementChild?.matches("li.row") ? holder.content.firstElementChild : null;
};

// Polls all unfinished rows with one request, and replaces only rows that changed. A sound that was
// just sent is usually analysed in a fraction of a second, so polling is fast for a few seconds.
class SonoRows extends HTMLElement {
  connectedCallback() {
    this.expect();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  // A new row has been added.
  expect() {
    this.fastUntil = performance.now() + FAST_POLLING_MS;
    this.plan();
  }

  plan() {
    clearTimeout(this.timer);
    const pause = performance.now() < this.fastUntil ? FAST_POLL_MS : POLL_MS;
    this.timer = setTimeout(async () => {
      try {
        await this.ask();
      } finally {
        if (this.isConnected) this.plan();
      }
    }, pause);
  }

  async ask() {
    const unfinished = [...this.querySelectorAll("[data-seen]")].slice(0, 50);
    if (!unfinished.length || this.asking || document.hidden) return;
    this.asking = true;
    try {
      const query = unfinished.map((row) => `row=${row.dataset.analysis}:${row.dataset.seen}`).join("&");
      const response = await fetch(`${this.dataset.url}?${query}`);
      if (response.status === 401) return signIn();
      if (response.ok) this.update(await response.json());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // no connection: try again later
    } finally {
      this.asking = false;
    }
  }

  update({ rows, gone }) {
    for (const id of gone) this.querySelector(`[data-analysis="${id}"]`)?.remove();
    for (const [id, html] of Object.entries(rows)) {
      const old = this.querySelector(`[data-analysis="${id}"]`);
      if (!old) continue;
      const focused = old.contains(document.activeElement);
      const fresh = rowOf(html);
      old.replaceWith(fresh);
      if (focused) fresh.querySelector("a.what").focus();
      if (!fresh.dataset.seen) {
        const what = fresh.querySelector(".what").textContent.trim();
        this.querySelector("[role=status]").textContent = `${fresh.querySelector(".name").textContent}: ${what}`;
      }
    }
  }
}

// A time in the reader's own time zone; without JavaScript it is shown in UTC.
class SonoTime extends HTMLElement {
  connectedCallback() {
    const time = this.querySelector("time");
    let style = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    if (this.dataset.long !== undefined) style = { dateStyle: "long", timeStyle: "short" };
    if (this.dataset.day !== undefined) style = { day: "numeric", month: "short", year: "numeric" };
    if (this.dataset.time !== undefined) style = { hour: "2-digit", minute: "2-digit" };
    time.textContent = new Intl.DateTimeFormat("en-GB", style).format(new Date(time.dateTime));
  }
}

// A copy button, hidden where the clipboard is not available (pages without https).
class SonoCopy extends HTMLElement {
  connectedCallback() {
    const button = this.querySelector("button");
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(this.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 2000);
    });
  }
}

customElements.define("sono-copy", SonoCopy);
customElements.define("sono-time", SonoTime);
customElements.define("sono-rows", SonoRows);
customElements.define("sono-drop", SonoDrop);

// Follow the system's theme unless the user has chosen the other one.
const themeSwitch = document.querySelector("[data-theme-switch]");
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
const label = () => {
  themeSwitch.textContent = dark() ? "Light" : "Dark";
  themeSwitch.title = `Switch to the ${dark() ? "light" : "dark"} theme`;
};
themeSwitch.addEventListener("click", () => {
  const wanted = dark() ? "light" : "dark";
  if ((wanted === "dark") === system.matches) {
    delete root.dataset.theme;
    localStorage.removeItem("theme");
  } else {
    root.dataset.theme = wanted;
    localStorage.setItem("theme", wanted);
  }
  label();
  document.dispatchEvent(new Event("theme"));
});
system.addEventListener("change", label);
label();

// After a swap that changed the heading, set the page title and announce it to screen readers.
const announce = document.querySelector("[data-announce]");
const heading = () => announce && document.querySelector(announce.dataset.announce)?.textContent;
let announced = heading();
document.addEventListener("htmx:after:swap", () => {
  if (!heading() || heading() === announced) return;
  announced = heading();
  announce.textContent = announced;
  document.title = `${announced} · ${announce.dataset.title}`;
});

// A click outside an open menu, or Escape, closes it.
const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu.contains(except)) continue;
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
};
document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => event.key === "Escape" && closeMenus(null));

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// Uploads a folder or a ZIP as a batch: lists the files first, then sends them one by one. Files that
// the server already has are not sent again, so after a lost connection or a reload only the files
// in transfer are repeated.

const AT_ONCE = 3;
const BACK_OFF_S = [1, 2, 4, 8, 15, 30];
const LISTED = 200;
const NOT_UNICODE = "The browser cannot use this name, because it is not Unicode. Rename the file, or send the folder as a ZIP.";

// Chromium gives such a file an empty name; other browsers replace its bytes by one character.
const notUnicode = (path) => path === "" || path.endsWith("/") || path.includes("\ufffd");
const counted = (count, word) => `${count.toLocaleString("en-GB")} ${word}${count === 1 ? "" : "s"}`;
const notSent = (files) => `${counted(files.length, "other file")} ${files.length === 1 ? "is" : "are"} left out (hidden, or no audio by their names)`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const seconds = (ms) => new Promise((done) => setTimeout(done, ms * 1000));
const remaining = (s) => {
  if (s < 60) return counted(Math.max(1, Math.round(s)), "second");
  return s < 5400 ? counted(Math.round(s / 60), "minute") : counted(Math.round(s / 3600), "hour");
};

class SonoFolder extends HTMLElement {
  connectedCallback() {
    this.url = this.dataset.batch;
    this.systemNames = new Set(this.dataset.systemNames.split("/"));
    this.drop = this.querySelector("[data-drop]");
    this.plan = this.querySelector("[data-plan]");
    this.sending = this.querySelector("[data-sending]");
    const folder = this.querySelector("#folder");
    const zip = this.querySelector("#zip");
    folder.addEventListener("change", () => this.consider(fromInput(folder.files)));
    zip.addEventListener("change", () => zip.files.length && this.considerZip(zip.files[0]));
    // Files may have been chosen before this script was loaded.
    if (folder.files.length) this.consider(fromInput(folder.files));
    else if (zip.files.length) this.considerZip(zip.files[0]);
    this.drop.addEventListener("submit", (event) => event.preventDefault());
    for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      this.drop.addEventListener(type, (event) => {
        event.preventDefault();
        this.drop.classList.toggle("over", over);
        if (type === "drop") this.dropped(event.dataTransfer);
      });
    }
    this.part("send").addEventListener("click", () => this.start());
    this.part("reset").addEventListener("click", () => {
      folder.value = zip.value = "";
      this.plan.hidden = true;
      this.drop.hidden = false;
    });
    this.part("go-on").addEventListener("click", () => this.goOn());
    this.online = () => this.goOn();
    addEventListener("online", this.online);
    this.warnBeforeUnload = (event) => this.busy && event.preventDefault();
    addEventListener("beforeunload", this.warnBeforeUnload);
  }

  disconnectedCallback() {
    removeEventListener("online", this.online);
    removeEventListener("beforeunload", this.warnBeforeUnload);
  }

  part(name) {
    return this.querySelector(`[data-${name}]`);
  }

  hidden(path) {
    return path.split("/").some((part) => part.startsWith(".") || this.systemNames.has(part.toLowerCase()));
  }

  whyLeftOut(path) {
    return this.hidden(path) ? "hidden" : "no audio by its name";
  }

  // --- choosing ---------------------------------------------------------------------------

  async dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const only = entries.length === 1 ? entries[0] : null;
    if (only?.isFile && only.name.toLowerCase().endsWith(".zip")) {
      return this.considerZip(transfer.files[0]);
    }
    const found = [];
    for (const entry of entries) await walk(entry, "", found);
    this.consider(named(found, only?.isDirectory));
  }

  async consider({ name, files }) {
    const leftOut = files.filter(({ path, file }) => this.hidden(path) || (file && isOther(path, this.dataset.otherExtensions)));
    const skipped = new Set(leftOut);
    const seen = files.filter((item) => !skipped.has(item));
    const most = Number(this.dataset.mostBytes);
    seen.sort((one, other) => (one.path < other.path ? -1 : 1));
    const refused = [];
    const paths = new Set();
    for (const item of seen) {
      item.same = paths.has(item.path);
      paths.add(item.path);
      if (item.same || (item.unreadable && notUnicode(item.path))) refused.push({ ...item, why: NOT_UNICODE });
      else if (item.unreadable) refused.push({ ...item, why: item.file ? "The file cannot be read." : "The folder cannot be read." });
      else if (!item.file.size) refused.push({ ...item, why: "The file is empty." });
      else if (item.file.size > most) refused.push({ ...item, why: `The file is larger than ${most / 1e6} MB.` });
    }
    const bad = new Set(refused.filter(({ same }) => !same).map(({ path }) => path));
    const known = await this.known();
    if (!known) return;
    this.name = name;
    this.zip = null;
    this.leftOut = leftOut;
    this.queue = seen.filter(({ path, same, unreadable }) => !same && !unreadable && !known.has(path));
    const ready = this.queue.filter(({ path }) => !bad.has(path));
    const news = [];
    const there = seen.filter(({ path }) => known.has(path)).length;
    if (there) news.push(`${counted(there, "file")} already in the batch; will not be sent again.`);
    const tooMany = seen.length > Number(this.dataset.mostFiles);
    if (tooMany) news.push(`A batch holds at most ${counted(Number(this.dataset.mostFiles), "file")}. Send its subfolders as separate batches.`);
    this.show({
      summary: `${counted(ready.length + refused.length, "file")} in ${name}: ${counted(ready.length, "sound")}` +
        ` (${megabytes(ready.reduce((sum, { file }) => sum + file.size, 0))})` +
        (refused.length ? ` and ${refused.length.toLocaleString("en-GB")} refused` : ""),
      news: news.join(" "),
      ready,
      refused,
      leftOut,
      send: tooMany ? "" : this.queue.length ? `Send ${counted(this.queue.length, "file")}` : this.url ? "Finish (all files sent)" : "",
    });
  }

  considerZip(file) {
    const tooLarge = file.size > Number(this.dataset.mostZipBytes);
    this.name = file.name.replace(/\.zip$/i, "");
    this.zip = file;
    this.leftOut = [];
    this.show({
      summary: `${file.name}: a ZIP of ${megabytes(file.size)}`,
      news: tooLarge
        ? `The ZIP is larger than ${Number(this.dataset.mostZipBytes) / 1e9} GB. Split it into several ZIPs, or choose the folder instead.`
        : "The ZIP is unpacked after it has been sent. Files that cannot be used are then listed with the reason.",
      ready: [],
      refused: [],
      send: tooLarge ? "" : "Send the ZIP",
    });
  }

  show({ summary, news, ready, refused, leftOut = [], send }) {
    this.drop.hidden = true;
    this.plan.hidden = false;
    this.part("summary").textContent = summary;
    this.part("skipped").hidden = !news;
    this.part("skipped").textContent = news;
    fill(this.part("refused"), `${counted(refused.length, "file")} refused`, refused, ({ path, why }) => [path || "(no name)", why]);
    fill(this.part("left-out"), notSent(leftOut), leftOut, ({ path }) => [`${path} · ${this.whyLeftOut(path)}`]);
    fill(this.part("ready"), `${counted(ready.length, "sound")} to send`, ready, ({ path, file }) => [`${path} · ${megabytes(file.size)}`]);
    this.part("refused").open = refused.length > 0;
    this.part("send").hidden = !send;
    this.part("send").textContent = send;
    if (send) this.part("send").focus();
  }

  async known() {
    if (!this.url) return new Set();
    try {
      const answer = await fetch(`${this.url}paths/`);
      if (answer.ok) return new Set((await answer.json()).paths);
      location.reload(); // signed out, or the batch is gone
    } catch {
      this.show({ summary: "The server cannot be reached", news: "Wait a moment, then choose the folder again.", ready: [], refused: [], send: "" });
    }
    return null;
  }

  // --- sending ----------------------------------------------------------------------------

  async start() {
    this.plan.hidden = true;
    this.sending.hidden = false;
    this.busy = true;
    this.refusals = 0;
    this.notTaken = [];
    this.began = performance.now();
    this.items = this.zip ? [{ file: this.zip }] : this.queue.map((item) => ({ ...item }));
    this.bytes = this.items.reduce((sum, { file }) => sum + file.size, 0);
    this.draw();
    if (!this.url && !(await this.steadily(() => this.create()))) return this.stop();
    const left = [...this.items];
    const worker = async () => {
      for (let item = left.shift(); item; item = left.shift()) {
        if (!(await this.steadily(() => (this.zip ? this.sendZip(item) : this.send(item))))) {
          left.length = 0;
          return false;
        }
        item.done = true;
        this.draw();
      }
      return true;
    };
    const ended = await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (ended.includes(false)) return this.stop();
    await this.steadily(() => this.request("POST", "close/", this.closing()));
    this.busy = false;
    // Those of a folder were listed before it was sent.
    if (this.notTaken.length || (this.zip && this.leftOut.length)) this.finish();
    else location.assign(this.url);
  }

  // Reports files that the batch page does not list.
  finish() {
    this.sending.hidden = true;
    this.show({
      summary: this.notTaken.length ? `${counted(this.notTaken.length, "file")} not added to the batch` : "All files were sent",
      news: "",
      ready: [],
      refused: this.notTaken,
      leftOut: this.leftOut,
      send: "",
    });
    this.part("reset").hidden = true;
    this.part("open").hidden = false;
    this.part("open").href = this.url;
    this.part("open").focus();
  }

  stop() {
    this.busy = false;
    this.drop.hidden = false;
  }

  async create() {
    const body = this.body();
    body.set("name", this.name);
    body.set("checkpoint", this.querySelector("[name=checkpoint]")?.value ?? "");
    if (this.querySelector("[name=mail]")?.checked) body.set("mail", "1");
    const answer = await this.request("POST", "", body, null, this.dataset.new);
    this.url = answer.url;
    // After this, a reload opens the batch and continues with it.
    history.replaceState(null, "", this.url);
  }

  async send(item) {
    const body = this.body();
    // Percent-encoded, because browsers change line breaks in fields.
    body.set("path", encodeURIComponent(item.path.toWellFormed?.() ?? item.path));
    if (item.file.size > Number(this.dataset.mostBytes)) body.set("size_bytes", item.file.size);
    else body.set("file", item.file, item.file.name);
    try {
      const { outcome, detail, hint } = await this.request("POST", "files/", body, item);
      if (!outcome) this.notTaken.push({ path: item.path, why: [detail ?? "The server refused the file.", hint ?? ""].join(" ") });
    } catch (error) {
      // A file deleted since it was chosen looks like a lost connection.
      if (!(error instanceof Trouble) || !error.passing || (await readable(item.file))) throw error;
      this.refusals += 1;
      this.notTaken.push({ path: item.path, why: "The file can no longer be read." });
    }
  }

  async sendZip(item) {
    const unpacked = await this.request("POST", "zip/", this.zip, item);
    this.leftOut = unpacked.left_out.map((path) => ({ path }));
    this.notTaken = unpacked.not_taken.map(({ path, error }) => ({ path, why: `${error.detail} ${error.hint}` }));
  }

  // With the number of files left out; the server has counted those of a ZIP.
  closing() {
    const body = this.body();
    if (!this.zip) body.set("left_out", this.leftOut.length);
    return body;
  }

  body() {
    const body = new FormData();
    body.set("csrfmiddlewaretoken", this.token());
    return body;
  }

  token() {
    return this.querySelector("[name=csrfmiddlewaretoken]").value;
  }

  // Retries until the attempt succeeds (true) or is refused (false).
  async steadily(attempt) {
    for (let tries = 0; ; tries += 1) {
      try {
        await attempt();
        this.trouble("");
        return true;
      } catch (error) {
        if (!(error instanceof Trouble)) throw error;
        if (!error.passing) {
          this.trouble(error.message);
          return false;
        }
        const pause = BACK_OFF_S[Math.min(tries, BACK_OFF_S.length - 1)];
        this.trouble(`${error.message} No files have been lost. Retrying in ${counted(pause, "second")}.`, true);
        this.pause ??= new Promise((go) => (this.wake = go));
        await Promise.race([seconds(pause), this.pause]);
      }
    }
  }

  goOn() {
    this.wake?.();
    this.pause = this.wake = null;
  }

  trouble(text, passing = false) {
    this.part("trouble").hidden = !text;
    this.part("trouble").textContent = text;
    this.part("go-on-holder").hidden = !passing;
  }

  // XMLHttpRequest, because fetch does not report upload progress.
  request(method, end, body, item = null, url = this.url + end) {
    return new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      request.open(method, url);
      request.setRequestHeader("X-Requested-With", "fetch");
      request.setRequestHeader("X-CSRFToken", this.token());
      if (end === "zip/") request.setRequestHeader("Content-Type", "application/zip");
      request.upload.addEventListener("progress", (event) => {
        if (item) item.loaded = Math.min(event.loaded, item.file.size);
        this.draw();
      });
      request.addEventListener("loadend", () => {
        let response = {};
        try {
          response = JSON.parse(request.responseText);
        } catch {
          // HTML: after the redirect of a form, or from a proxy
        }
        if (item) item.loaded = 0;
        if (request.status >= 200 && request.status < 300) {
          if (response.error) this.refusals += 1;
          done(response);
        } else if (request.status === 401 || request.status === 403) {
          this.busy = false;
          location.reload();
        } else if (item?.path && [400, 413].includes(request.status)) {
          this.refusals += 1;
          done(response); // only this file was refused
        } else if (request.status === 0 || request.status === 429 || request.status >= 500) {
          const what = request.status ? `The server responded with status ${request.status}.` : "The connection was lost.";
          fail(new Trouble(response.detail ?? what, true));
        } else {
          fail(new Trouble([response.detail ?? `The server responded with status ${request.status}.`, response.hint ?? ""].join(" "), false));
        }
      });
      request.send(body);
    });
  }

  draw() {
    const done = this.items.filter((item) => item.done);
    const sent = this.items.reduce((sum, item) => sum + (item.done ? item.file.size : item.loaded ?? 0), 0);
    const share = this.bytes ? sent / this.bytes : 1;
    const elapsed = (performance.now() - this.began) / 1000;
    this.sending.querySelector("progress").value = share;
    this.part("status").textContent = this.zip
      ? share < 1 ? "Sending the ZIP" : "Unpacking the ZIP"
      : `${done.length.toLocaleString("en-GB")} of ${counted(this.items.length, "file")} sent${this.refusals ? `, ${this.refusals} refused` : ""}`;
    const left = share > 0.02 && share < 1 ? ` · about ${remaining((elapsed / share) * (1 - share))} left` : "";
    this.part("rate").textContent = `${megabytes(sent)} of ${megabytes(this.bytes)}${left}`;
  }
}

class Trouble extends Error {
  constructor(message, passing) {
    super(message);
    this.passing = passing;
  }
}

const readable = (file) =>
  file.slice(0, 1).arrayBuffer().then(() => true, () => false);

const fill = (details, title, items, words) => {
  details.hidden = !items.length;
  details.querySelector("summary").textContent = title;
  const rows = items.slice(0, LISTED).map((item) => {
    const row = document.createElement("li");
    for (const text of words(item)) {
      const part = document.createElement("span");
      part.className = "wrap";
      part.textContent = text;
      row.append(part);
    }
    return row;
  });
  if (items.length > LISTED) {
    const row = document.createElement("li");
    row.textContent = `and ${(items.length - LISTED).toLocaleString("en-GB")} more`;
    rows.push(row);
  }
  details.querySelector("ul").replaceChildren(...rows);
};

const fromInput = (files) =>
  named([...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })), true);

// The batch is named after the chosen folder. Paths are relative to it, as in submit_folder.
const named = (files, oneFolder) => {
  const root = oneFolder && files.length ? files[0].path.split("/")[0] : "";
  return {
    name: root || "Uploaded files",
    files: root ? files.map((item) => ({ ...item, path: item.path.slice(root.length + 1) })) : files,
  };
};

const walk = async (entry, above, found) => {
  const path = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null)));
    found.push({ file: file ?? new File([], entry.name), path, unreadable: !file });
    return;
  }
  const reader = entry.createReader();
  // Returns at most a hundred entries at a time, and an empty list at the end.
  for (;;) {
    const some = await new Promise((done) => reader.readEntries(done, () => done(null)));
    if (!some) found.push({ path, unreadable: true });
    if (!some?.length) return;
    for (const inner of some) await walk(inner, `${path}/`, found);
  }
};

customElements.define("sono-folder", SonoFolder);

// "Is this right?" on the result page: y says yes, n opens the list of the classes. A judgement is
// of the clip, of the opened sound of a recording, or of the row of the table that has the focus.

// A list of classes that typing filters. Without scripts it is a select.
class SonoChoice extends HTMLElement {
  connectedCallback() {
    const select = this.querySelector("select");
    this.options = [...select.options].map((option) => {
      const item = document.createElement("li");
      item.id = `${select.id}-${option.index}`;
      item.role = "option";
      item.textContent = option.text;
      item.dataset.value = option.value;
      return item;
    });
    this.input = document.createElement("input");
    Object.assign(this.input, { type: "text", role: "combobox", id: `${select.id}-search`, autocomplete: "off", placeholder: "Type to search", ariaExpanded: "true", ariaAutoComplete: "list" });
    this.input.setAttribute("aria-controls", `${select.id}-list`);
    this.querySelector("label").htmlFor = this.input.id;
    this.list = document.createElement("ul");
    Object.assign(this.list, { id: `${select.id}-list`, role: "listbox", ariaLabel: "Classes" });
    this.list.append(...this.options);
    this.nothing = document.createElement("p");
    Object.assign(this.nothing, { className: "no-class quiet", role: "status" });
    select.hidden = true;
    this.select = select;
    select.after(this.input, this.list, this.nothing);
    this.input.addEventListener("input", () => this.filter());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("click", ({ target }) => target.dataset.value && this.take(target));
    this.filter();
  }

  // Starts anew, for another sound.
  open() {
    this.input.value = "";
    this.filter();
    this.input.focus();
  }

  get shown() {
    return this.options.filter((item) => !item.hidden);
  }

  filter() {
    const sought = this.input.value.trim().toLowerCase();
    for (const item of this.options) {
      const texts = [item.textContent, item.dataset.value.replaceAll("_", " ")];
      item.hidden = !texts.some((text) => text.toLowerCase().includes(sought));
    }
    const none = !this.shown.length;
    this.list.hidden = none;
    this.input.ariaExpanded = !none;
    this.nothing.textContent = none ? "No such class. Choose “None of these” if the sound is none of them." : "";
    const starting = this.shown.find((item) => item.textContent.toLowerCase().startsWith(sought));
    // Nothing is chosen before the first letter, so that Enter alone saves nothing.
    this.mark(sought ? (starting ?? this.shown[0]) : null);
    if (!sought) this.list.scrollTop = 0;
  }

  mark(item) {
    this.active = item;
    for (const each of this.options) each.ariaSelected = each === item;
    this.input.setAttribute("aria-activedescendant", item?.id ?? "");
    item?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const { shown } = this;
    const at = shown.indexOf(this.active);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 }[event.key];
    if (to !== undefined) this.mark(shown[Math.max(0, Math.min(to, shown.length - 1))]);
    else if (event.key === "Enter") this.take(this.active);
    else return;
    event.preventDefault();
  }

  take(item) {
    if (!item) return;
    this.select.value = item.dataset.value;
    const { form } = this.select;
    form.requestSubmit(form.querySelector("[data-save]"));
  }
}

customElements.define("sono-choice", SonoChoice);

const dialog = () => document.querySelector("[data-judge-dialog]");

// Opens the list for what `asked` is about: an element with data-judging and data-about.
const choose = (asked) => {
  const template = document.querySelector("[data-judge-template]");
  if (!dialog()) template.after(document.importNode(template.content, true));
  const form = dialog().querySelector("form");
  form.action = asked.dataset.judging;
  dialog().querySelector("[data-judge-about]").textContent = asked.dataset.about;
  dialog().querySelector("[data-judge-problem]").textContent = "";
  dialog().showModal();
  dialog().querySelector("sono-choice").open();
};

// Sends a judgement, and replaces the parts of the page that it changes. `asked` is the part of the
// page that it was asked in; null for the dialog.
const judge = async (url, body, asked) => {
  const response = await fetch(url, { method: "POST", body, headers: { "X-Requested-With": "fetch" } }).catch(() => null);
  if (response?.redirected) return location.reload(); // to sign in
  if (!response?.ok) return refuse("This could not be saved. Reload the page and try again.", asked);
  if (dialog()?.open) dialog().close();
  const fresh = document.createElement("template");
  fresh.innerHTML = await response.text();
  report(fresh.content.querySelector("[data-said]")?.textContent ?? "Removed.");
  for (const part of [...fresh.content.children]) {
    const old = document.getElementById(part.id);
    const focused = old?.contains(document.activeElement);
    old?.replaceWith(part);
    if (focused) part.querySelector("a, button")?.focus();
  }
};

// For screen readers.
const report = (words) => {
  document.querySelector("[data-announce]").textContent = words;
};

// Shows a problem in the dialog, or in the part of the page, which a saved judgement replaces.
const refuse = (words, asked) => {
  const place = asked ?? dialog();
  let shown = place.querySelector("[data-judge-problem]");
  if (!shown) {
    shown = document.createElement("span");
    shown.className = "bad small";
    shown.role = "alert";
    shown.dataset.judgeProblem = "";
    (place.querySelector(".checked") ?? place).append(shown);
  }
  shown.textContent = words;
};

const agree = (asked) => {
  const { dataset } = asked;
  const body = new FormData();
  body.set("csrfmiddlewaretoken", document.querySelector("[name=csrfmiddlewaretoken]").value);
  if (dataset.answer) body.set("label", dataset.answer);
  else body.set("none", "yes");
  judge(dataset.judging, body, asked);
};

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-judge]")) return;
  event.preventDefault();
  judge(event.target.action, new FormData(event.target, event.submitter), event.target.closest(".judgement"));
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-judge-close]")) dialog().close();
  const opener = event.target.closest("[data-judge-open]");
  if (!opener || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  choose(opener.closest("[data-judging]"));
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || usesKeys(event.target)) return;
  const react = { y: agree, n: choose }[event.key];
  const asked = event.target.closest(".event[data-judging]") ?? document.querySelector(".judgement");
  if (!react || !asked) return;
  event.preventDefault();
  react(asked);
});

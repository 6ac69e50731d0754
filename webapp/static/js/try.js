// A visitor's sound on the front page: one file, chosen, dropped or recorded, is sent at once, and
// its result opens. A file that was not accepted stays here, so that it can be sent again.

class SonoTry extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.form.querySelector("input[type=file]");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add(this.input.files);
    });
    this.input.addEventListener("change", () => this.add(this.input.files));
    this.part("again").querySelector("button").addEventListener("click", () => this.send());
    const card = this.closest(".try");
    for (const [type, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
      card.addEventListener(type, (event) => {
        event.preventDefault();
        card.classList.toggle("over", over);
        if (type === "drop") this.add(event.dataTransfer.files);
      });
    }
    // A page that the browser kept is shown as it was left: sending.
    addEventListener("pageshow", ({ persisted }) => persisted && this.rest());
    this.add(this.input.files); // a file chosen before this script loaded
  }

  part(name) {
    return this.querySelector(`[data-${name}]`);
  }

  add(files) {
    if (!files.length || this.sending) return;
    this.file = files[0];
    this.input.value = "";
    const problem = problemOf(this.file, this.dataset);
    if (files.length > 1) this.refuse("Send one sound at a time. Folders need an account.");
    else if (problem) this.refuse(`${this.file.name} was not sent. ${problem.detail} ${problem.hint}`);
    else this.send();
  }

  rest() {
    this.sending = false;
    this.part("sending").hidden = true;
    this.querySelector("sono-record").inert = false;
  }

  refuse(words, again = false) {
    this.rest();
    this.part("problem").textContent = words;
    this.part("problem").hidden = false;
    this.part("again").hidden = !again;
  }

  // XMLHttpRequest, because fetch does not report upload progress.
  send() {
    const body = new FormData(this.form);
    body.set("file", this.file);
    const request = new XMLHttpRequest();
    const progress = this.querySelector("progress");
    progress.value = 0;
    this.sending = true;
    this.part("problem").hidden = true;
    this.part("again").hidden = true;
    this.part("sending-words").textContent = `Sending ${this.file.name}…`;
    this.part("sending").hidden = false;
    this.querySelector("sono-record").inert = true;
    request.open("POST", this.form.action);
    request.setRequestHeader("X-Requested-With", "fetch");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) progress.value = event.loaded / event.total;
    });
    request.addEventListener("loadend", () => this.answered(request));
    request.send(body);
  }

  answered({ status, responseText }) {
    const answer = parsed(responseText);
    if (status === 202) location.assign(answer.url);
    else if (answer?.detail) this.refuse(`${answer.detail} ${answer.hint}`, status === 429 || status >= 500);
    else if (status === 403) this.refuse("You signed in or out in another tab. Reload the page and send the sound again.");
    else this.refuse(status ? `The server responded with status ${status}.` : "The connection was lost.", true);
  }
}

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null; // a page
  }
};

customElements.define("sono-try", SonoTry);

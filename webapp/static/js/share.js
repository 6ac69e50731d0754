// The share control of a result page.

// On a phone, offers to send the link with another app.
class SonoSend extends HTMLElement {
  connectedCallback() {
    this.hidden = !(navigator.share && matchMedia("(pointer: coarse)").matches);
    this.querySelector("button").addEventListener("click", async () => {
      try {
        await navigator.share({ title: document.title, url: this.dataset.url });
      } catch (error) {
        if (error.name !== "AbortError") throw error; // closed without sending
      }
    });
  }
}

customElements.define("sono-send", SonoSend);

// The mark of a shared result opens the menu.
document.addEventListener("click", (event) => {
  if (!event.target.closest("#shared-mark")) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // otherwise this click outside of the menu closes it
  const share = document.getElementById("share");
  share.closest(".menu").open = share.open = true;
  share.querySelector("summary").focus();
});

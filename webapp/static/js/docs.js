const swagger = document.getElementById("swagger");
if (swagger) {
  // Swagger's own sheet is told by a class which scheme to wear.
  const scheme = () => {
    const chosen = document.documentElement.dataset.theme;
    const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.classList.toggle("dark-mode", dark);
  };
  document.addEventListener("theme", scheme);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", scheme);
  scheme();
  SwaggerUIBundle({
    url: swagger.dataset.schema,
    domNode: swagger,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    validatorUrl: null,
    // The page has its own main part already.
    onComplete: () => swagger.querySelector("main")?.setAttribute("role", "presentation"),
    // A signed-in person may try things out with the session, which wants its token too.
    requestInterceptor: (request) => {
      const cookie = document.querySelector("form [name=csrfmiddlewaretoken]");
      if (cookie && !["GET", "HEAD"].includes(request.method ?? "GET")) {
        request.headers["X-CSRFToken"] = cookie.value;
      }
      return request;
    },
  });
}

const redoc = document.getElementById("redoc");
if (redoc) {
  // It would fetch its maker's logo from another machine.
  const ours = (address) => new URL(address, location.href).origin === location.origin;
  const setAttribute = Element.prototype.setAttribute;
  Element.prototype.setAttribute = function (name, value) {
    if (name !== "src" || ours(value)) setAttribute.call(this, name, value);
  };
  const src = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
  Object.defineProperty(HTMLImageElement.prototype, "src", {
    ...src,
    set(value) {
      if (ours(value)) src.set.call(this, value);
    },
  });
  const nonce = document.querySelector("meta[name=style-nonce]").content;
  const sans = '"Source Sans 3", sans-serif';
  const theme = {
    colors: { primary: { main: "#b4400c" }, text: { primary: "#1b1a1f" } },
    rightPanel: { backgroundColor: "#0b0a12" },
    typography: {
      fontSize: "15px",
      fontFamily: sans,
      headings: { fontFamily: sans, fontWeight: "600" },
      code: { fontFamily: '"IBM Plex Mono", monospace', fontSize: "13px", color: "#1b1a1f" },
    },
  };
  Redoc.init(redoc.dataset.schema, { nonce, nativeScrollbars: true, theme }, redoc);
}

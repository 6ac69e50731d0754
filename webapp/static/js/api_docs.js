// Starts Swagger UI on the API reference page.
const { schema, csrfToken } = document.getElementById("swagger-ui").dataset;

const followTheme = () => {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.classList.toggle("dark-mode", dark);
};
new MutationObserver(followTheme).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", followTheme);
followTheme();

SwaggerUIBundle({
  url: schema,
  dom_id: "#swagger-ui",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  // The page has its own <main>, and a page may have only one.
  onComplete: () => document.querySelector("#swagger-ui main")?.setAttribute("role", "group"),
  requestInterceptor: (request) => {
    if (csrfToken && !request.headers.Authorization) request.headers["X-CSRFToken"] = csrfToken;
    return request;
  },
});

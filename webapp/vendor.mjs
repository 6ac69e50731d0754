// Copies what the pages load out of node_modules, so that nothing else of it is served.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const target = new URL("./static/vendor/", import.meta.url);
const packages = new URL("../node_modules/", import.meta.url);
mkdirSync(target, { recursive: true });
for (const path of [
  "htmx.org/dist/htmx.min.js",
  "@fontsource/source-sans-3/files/source-sans-3-latin-400-normal.woff2",
  "@fontsource/source-sans-3/files/source-sans-3-latin-600-normal.woff2",
  "@fontsource/ibm-plex-mono/files/ibm-plex-mono-latin-400-normal.woff2",
]) {
  let bytes = readFileSync(new URL(path, packages));
  if (path.endsWith(".js")) {
    // The source maps stay behind, and a reference to a missing file stops collectstatic.
    bytes = Buffer.from(bytes.toString().replace(/^\/\/# sourceMappingURL=.*$/m, ""));
  }
  writeFileSync(new URL(path.split("/").pop(), target), bytes);
}

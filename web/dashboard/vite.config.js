import { defineConfig } from "vite";
import { HEIGHT, WIDTH, world } from "./build/world.js";

const MAP = "virtual:world";

/** The map's shapes, made from Natural Earth when the page is built. */
const worldMap = {
  name: "world-map",
  resolveId: (id) => (id === MAP ? `\0${MAP}` : undefined),
  load: (id) => (id === `\0${MAP}` ? `export default ${JSON.stringify({ width: WIDTH * 2, height: HEIGHT * 2, ...world() })}` : undefined),
};

export default defineConfig({
  // Relative, so that the page also works under another path.
  base: "./",
  plugins: [worldMap],
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // Everything is a file: the page's policy allows nothing inline.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
});

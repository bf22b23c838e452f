import { defineConfig } from "vite";

// One build a mode: the two files for a script tag, each a single plain script, and the npm package.
const builds = {
  tracker: { entry: { tracker: "src/script.ts" }, format: "iife", outDir: "dist", emptyOutDir: true },
  vitals: { entry: { vitals: "src/vitals-script.ts" }, format: "iife", outDir: "dist", emptyOutDir: false },
  npm: {
    entry: { index: "src/index.ts", vitals: "src/vitals.ts" },
    format: "es",
    outDir: "dist/npm",
    emptyOutDir: true,
  },
};

export default defineConfig(({ mode }) => {
  const { entry, format, outDir, emptyOutDir } = builds[mode];
  const script = format === "iife";
  return {
    publicDir: false,
    build: {
      target: "es2020",
      outDir,
      emptyOutDir,
      reportCompressedSize: false,
      lib: { entry, formats: [format], name: "tracker", fileName: (_, name) => `${name}.js` },
      minify: script ? "terser" : false,
      terserOptions: {
        ecma: 2020,
        toplevel: true,
        compress: { passes: 5, unsafe: true, inline: 3, keep_fargs: false, hoist_props: true, reduce_funcs: true, unsafe_arrows: true, unsafe_methods: true, pure_getters: true, booleans_as_integers: false },
      },
      rollupOptions: { output: { chunkFileNames: "[name].js" } },
    },
  };
});

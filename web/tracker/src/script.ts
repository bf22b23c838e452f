/** The script-tag build: options are data-* attributes, the server is where the script came from. */
import { guard } from "./listen.js";
import { local } from "./storage.js";
import { type Analytics, start } from "./tracker.js";

declare global {
  interface Window {
    analytics?: Analytics;
  }
}

const script = document.currentScript as HTMLScriptElement;

guard(() => {
  const { dataset } = script;
  const resolve = (path: string) => new URL(path, script.src).href;

  // A page that includes the script twice is still counted once.
  if (window.analytics?.exclude) return;
  window.analytics = start({ ...dataset, endpoint: resolve(dataset.api || "/api/analytics") });
  // No stores were opened for a visitor who refuses.
  if (local && dataset.vitals != null) {
    const vitals = document.createElement("script");
    vitals.nonce = script.nonce;
    vitals.src = resolve(dataset.vitals || "vitals.js");
    document.head.append(vitals);
  }
})();

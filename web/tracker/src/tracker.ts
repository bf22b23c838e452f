/** The tracker: wires the parts together and is what a page talks to. */
import { watchAttention } from "./attention.js";
import { watchClicks } from "./clicks.js";
import type { Props } from "./event.js";
import { forget, identify } from "./identity.js";
import { guard, on } from "./listen.js";
import { choose, type Options } from "./options.js";
import { amend, empty, flush, restore } from "./queue.js";
import { record } from "./record.js";
import { local, openStores } from "./storage.js";
import { view, watchViews } from "./views.js";

export interface Analytics {
  /** Records an event of your own. Props are flat, at most 30. */
  track(name: string, props?: Props): void;
  /** Records a page view by hand. */
  pageview(): void;
  /** Tells what the visitor decided; call it again whenever they change their mind. */
  consent(decision: "granted" | "denied"): void;
  /** Keeps this browser out of the figures (true) or counts it again (false). */
  exclude(excluded: boolean): void;
}

export const start = (chosen: Options): Analytics => {
  const analytics: Analytics = {
    track: (name, props) => record(name, { props }),
    pageview: view,
    consent(decision) {
      if (decision == "granted") {
        amend(identify());
        flush();
      } else {
        forget();
        empty();
      }
    },
    exclude(excluded) {
      local.pa_off = excluded ? "1" : "";
      empty();
    },
  };
  for (const name in analytics) {
    const method = name as keyof Analytics;
    analytics[method] = guard(analytics[method] as () => void);
  }
  const begin = guard(() => {
    restore();
    view();
    watchAttention();
    watchViews();
    watchClicks();
    on("online", flush);
  });
  // Refused: the stores stay closed, so that every method ends at its guard.
  if (navigator.doNotTrack != "1" && !(navigator as Navigator & { globalPrivacyControl?: boolean }).globalPrivacyControl) {
    choose(chosen);
    openStores();
    begin();
  }
  return analytics;
};

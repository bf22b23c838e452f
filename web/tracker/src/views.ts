/** Page views: of pages loaded, of routes changed, of pages that come back. */
import { report } from "./attention.js";
import { guard, on } from "./listen.js";
import { arrive, moved } from "./place.js";
import { flush } from "./queue.js";
import { record } from "./record.js";

// Routers set the title after the address, and often correct the address once more.
const SETTLE = 99;

export const view = (): void => {
  report();
  arrive();
  record("page_view", { title: document.title });
  if (document.querySelector("[data-404]")) record("not_found");
};

const viewIfMoved = guard(() => {
  if (moved()) view();
});

const settle = () => setTimeout(viewIfMoved, SETTLE);

const follow = (method: "pushState" | "replaceState"): void => {
  const original = history[method];
  history[method] = function (...args) {
    original.apply(this, args);
    settle();
  };
};

export const watchViews = (): void => {
  follow("pushState");
  follow("replaceState");
  on("popstate hashchange", settle);
  on("visibilitychange pagehide", ({ type }: Event) => {
    viewIfMoved();
    report();
    flush(type == "pagehide");
  });
  on("pageshow", ({ persisted }: PageTransitionEvent) => {
    if (persisted) view();
  });
};

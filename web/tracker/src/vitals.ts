/** How fast the page felt: five figures, measured until the visitor first looks away, sent once. */
import type { Props } from "./event.js";
import { guard } from "./listen.js";

interface Entry extends PerformanceEntry {
  /** event: groups what belongs to one press or tap. */
  interactionId?: number;
  /** layout-shift */
  value: number;
  hadRecentInput?: boolean;
}

interface Navigation extends PerformanceNavigationTiming {
  /** When a page rendered ahead of its visit was shown. */
  activationStart?: number;
}

// A layout shift joins the window before it when it follows within 1 s and the window is under 5 s.
const SHIFT_GAP = 1e3;
const SHIFT_WINDOW = 5e3;
// Beyond this many interactions, one in so many may be an outlier and is passed over.
const OUTLIERS_PER = 50;

/** Measures this page load and hands `web_vitals` with ttfb, fcp, lcp, inp (ms) and cls to `track`. */
export const vitals = guard((track: (name: string, props: Props) => void): void => {
  const navigation = performance.getEntriesByType("navigation")[0] as Navigation | undefined;
  const start = navigation?.activationStart ?? 0;
  const prerendering = (document as Document & { prerendering?: boolean }).prerendering;
  // A page opened in the background paints when it is looked at, not when it is ready.
  if (!navigation || (document.hidden && !prerendering)) return;

  const props: Props = {};
  const interactions = new Map<number, number>();
  const shifts = { sum: 0, first: 0, last: 0 };
  const sinceStart = (time: number) => Math.max(0, Math.round(time - start));

  const readers: [string, (entry: Entry) => void][] = [
    [
      "paint",
      (entry) => {
        if (entry.name == "first-contentful-paint") props.fcp = sinceStart(entry.startTime);
      },
    ],
    ["largest-contentful-paint", (entry) => void (props.lcp = sinceStart(entry.startTime))],
    [
      "layout-shift",
      ({ startTime, value, hadRecentInput }) => {
        if (hadRecentInput) return;
        if (startTime - shifts.last > SHIFT_GAP || startTime - shifts.first > SHIFT_WINDOW) {
          shifts.sum = 0;
          shifts.first = startTime;
        }
        shifts.last = startTime;
        shifts.sum += value;
        props.cls = Math.max(+(props.cls || 0), Math.round(shifts.sum * 1e4) / 1e4);
      },
    ],
    [
      "event",
      ({ interactionId, duration }) => {
        if (!interactionId) return;
        interactions.set(interactionId, Math.max(duration, interactions.get(interactionId) || 0));
        const slowest = [...interactions.values()].sort((a, b) => b - a);
        props.inp = Math.round(slowest[Math.floor(slowest.length / OUTLIERS_PER)]!);
      },
    ],
  ];
  const watching = readers
    .filter(([type]) => PerformanceObserver.supportedEntryTypes.includes(type))
    .map(([type, read]) => {
      const take = (entries: PerformanceEntryList) => (entries as Entry[]).forEach(read);
      const observer = new PerformanceObserver((list) => take(list.getEntries()));
      observer.observe({ type, buffered: true, durationThreshold: 40 } as PerformanceObserverInit);
      if (type == "layout-shift") props.cls = 0;
      return { take, observer };
    });

  const send = guard(() => {
    if (!document.hidden) return;
    removeEventListener("visibilitychange", send, true);
    for (const { take, observer } of watching) {
      take(observer.takeRecords());
      observer.disconnect();
    }
    props.ttfb = sinceStart(navigation.responseStart);
    track("web_vitals", props);
  });
  addEventListener("visibilitychange", send, true);
});

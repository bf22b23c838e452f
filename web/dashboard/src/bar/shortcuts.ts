import { useEffect } from "preact/hooks";
import { CHOICES, neighbour, type Day, type Span } from "../period";
import { read } from "../store";
import type { Navigation } from "../view";

const PERIODS = new Map(CHOICES.flat().map((choice) => [choice.key.toLowerCase(), choice.name]));

/** The single keys that do something, for the page that lists them. */
export const KEYS: [string, string][] = [
  ...CHOICES.flat().map((choice): [string, string] => [choice.key, choice.label]),
  ["S", "All sites"],
  ["O", "Overview"],
  ["R", "Live view"],
  ["X", "Comparison on or off"],
  ["← →", "Earlier, later"],
  ["Esc", "Clear the filters"],
  ["?", "This list"],
];

/** Acts on single keys, unless somebody types, a dialog is open, or they were switched off. */
export function useShortcuts({ view, go }: Navigation, span: Span | null, today: Day, many: boolean, onHelp: () => void): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (read("shortcuts") === "off" || target.closest("input, select, textarea, dialog, .menu-panel")) return;
      const key = event.key.toLowerCase();
      const period = PERIODS.get(key);
      const step = { arrowleft: -1, arrowright: 1 }[key];
      // Where they are listed, a period is that of the sites.
      const listed = view.page === "sites";
      if (period) go({ period: { name: period }, interval: null, page: listed ? "sites" : "overview" });
      else if (key === "s" && many) go({ page: "sites" });
      else if (key === "r") go({ page: "live" });
      else if (key === "o") go({ page: "overview" });
      else if (key === "x") go({ comparison: view.comparison === "off" ? "previous" : "off" });
      else if (key === "escape" && view.filters.length > 0) go({ filters: [] });
      else if (key === "?") onHelp();
      else if (step && span && (listed || view.page === "overview")) {
        const next = neighbour(span, step > 0 ? 1 : -1);
        if (next.from <= today) go({ period: { name: "custom", ...next }, interval: null });
      } else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [view, span?.from, span?.to, today, many]);
}

/** What goes over the wire: one event, as `POST /api/analytics` takes it. */

export type Props = Record<string, string | number | boolean | null>;

export interface Target {
  tag: string;
  id: string | null;
  class: string | null;
  text: string | null;
  /** For a link: where it leads. Of mailto:, tel: and the like the scheme alone. */
  href?: string;
}

export interface Details {
  /** Of a page view alone: it is the same for all that happens on the page. */
  title?: string;
  target?: Target;
  duration_ms?: number;
  scroll_depth?: number;
  props?: Props | undefined;
}

export interface Event extends Details {
  event_type: string;
  event_id: string;
  timestamp: string;
  page: string;
  site: string | undefined;
  referrer: string;
  screen_width: number;
  screen_height: number;
  consent?: "granted";
  visitor_id?: string;
  session_id?: string;
}

// By hand: crypto.randomUUID makes version 4 only, and is missing on plain http pages.
export const uuid7 = (now: number): string =>
  ("0" + now.toString(16)).replace(/.{4}$/, "-$&-") +
  "7xxx-8xxx-xxxxxxxxxxxx".replace(/x/g, () => (crypto.getRandomValues(new Uint8Array(1))[0]! & 15).toString(16));

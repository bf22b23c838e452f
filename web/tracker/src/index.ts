/** The npm package: the tracker of the script tag, started by a call. */
import { type Analytics, start } from "./tracker.js";

export type { Props } from "./event.js";
export type { Analytics };

export interface InitOptions {
  /** Where Portfolio Analytics runs, e.g. `https://stats.example.com`. */
  host: string;
  /** Path or address that events are posted to, seen from `host`. Default `/api/analytics`. */
  api?: string;
  /** Name of the site. Default: the host of the page. */
  site?: string;
  /** `required`: nothing is sent and nothing is stored before `consent("granted")`. */
  consent?: "required";
  /** Routes live in the fragment: `/#/about` is the page `/about`. */
  hash?: boolean;
}

/** Starts the tracker. Call it once, in the browser; importing the package does nothing by itself. */
export const init = ({ host, api = "/api/analytics", site, consent, hash }: InitOptions): Analytics =>
  start({ endpoint: new URL(api, host).href, site, consent, hash: hash ? "" : undefined });

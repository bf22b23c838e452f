/** The script-tag build of the vitals: tracker.js loads it where the page asks for it. */
import type { Analytics } from "./tracker.js";
import { vitals } from "./vitals.js";

vitals((name, props) => (window as Window & { analytics?: Analytics }).analytics?.track(name, props));

/** Turns something that happened into an event on its way. */
import { type Details, uuid7 } from "./event.js";
import { agreed, denied, identify } from "./identity.js";
import { on } from "./listen.js";
import { options } from "./options.js";
import { page, referrer } from "./place.js";
import { add, flush } from "./queue.js";
import { local } from "./storage.js";

export const record = (event_type: string, details?: Details): void => {
  // A page rendered ahead of its visit may never be visited.
  if ((document as Document & { prerendering?: boolean }).prerendering)
    on("prerenderingchange", () => record(event_type, details));
  else if (!denied && !local.pa_off) {
    const now = Date.now();
    add(
      // A copy: the page may change its props later, and what cannot be JSON must fail here, not in the queue.
      JSON.parse(
        JSON.stringify({
          event_type,
          page,
          event_id: uuid7(now),
          timestamp: new Date(now).toISOString(),
          site: options.site,
          referrer,
          screen_width: screen.width,
          screen_height: screen.height,
          ...details,
          ...(agreed() && identify()),
        }),
      ),
    );
    flush();
  }
};

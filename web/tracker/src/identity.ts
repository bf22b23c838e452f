/**
 * Who the visitor is, once they have agreed: "visitor,session,time last seen" under one key.
 * The key is the consent as well: there is no other record of it, and taking it away in one tab
 * takes it away in all.
 */
import { type Event, uuid7 } from "./event.js";
import { local } from "./storage.js";

const SESSION_ENDS_AFTER = 18e5;

/** Said no on this page. A refusal is not stored: that would take consent too. */
export let denied = false;

export const agreed = (): string | undefined => local.pa;

export const identify = (): Partial<Event> => {
  const now = Date.now();
  let [visitor, session, seen] = (local.pa || uuid7(now)).split(",") as [string, string, string];
  if (!(now - +seen < SESSION_ENDS_AFTER)) session = uuid7(now);
  local.pa = [visitor, session, now].join();
  denied = false;
  return { consent: "granted", visitor_id: visitor, session_id: session };
};

export const forget = (): void => {
  delete local.pa;
  denied = true;
};

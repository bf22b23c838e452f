/** Events on their way: kept until the server has answered for them. */
import type { Event } from "./event.js";
import { agreed } from "./identity.js";
import { guard } from "./listen.js";
import { options } from "./options.js";
import { tab } from "./storage.js";

const CAPACITY = 200;
// Browsers allow 64 KiB of keepalive bodies at a time, and a character is at most three bytes. A batch of
// usual events stays below.
const BATCH = 20;
const KEEPALIVE_LENGTH = 21e3;
const TIMEOUT = 3e4;

const queue = new Set<Event>();
/** Those of the queue that a request carries right now. */
const flying = new Set<Event>();
let failures = 0;
let closedUntil = 0;

// Guarded: the store can be full, and memory still holds the events.
const save = guard(() => {
  if (agreed()) tab.pa = JSON.stringify([...queue]);
  else delete tab.pa;
});

export const restore = guard(() => {
  if (agreed()) JSON.parse(tab.pa!).forEach(add);
});

export const empty = (): void => {
  queue.clear();
  save();
};

/** Full: the newcomer is refused, so that the start of the visit (its source) is what survives. */
export const add = (event: Event): void => {
  if (queue.size < CAPACITY) queue.add(event);
};

export const amend = (more: Partial<Event>): void => {
  queue.forEach((event) => Object.assign(event, more));
};

/**
 * Sends what waits. New events wait for the request before them and for the time the server or a
 * failure asked for; a hidden page, which may never come back, waits for the latter only; the last
 * chance (the page leaves, the network returns) for neither.
 */
export const flush = async (lastChance?: unknown): Promise<void> => {
  const urgent = lastChance || document.hidden;
  if (urgent) save();
  const batch = [...queue].filter((event) => !flying.has(event)).slice(0, BATCH);
  if (
    !batch[0] ||
    (options.consent == "required" && !agreed()) ||
    (!urgent && flying.size) ||
    (!lastChance && Date.now() < closedUntil)
  )
    return;
  let answered: boolean | undefined;
  let wait = 0;
  const url = options.endpoint + (batch[1] ? "/batch" : "");
  const body = JSON.stringify(batch[1] ? batch : batch[0]);
  batch.forEach((event) => flying.add(event));
  if (urgent) flush(lastChance);
  try {
    if (urgent && !("keepalive" in Request.prototype)) {
      answered = navigator.sendBeacon(url, body);
    } else {
      const answer = await fetch(url, {
        method: "POST",
        body,
        credentials: "omit",
        keepalive: body.length < KEEPALIVE_LENGTH,
        signal: AbortSignal.timeout?.(TIMEOUT),
      });
      answered = !/408|429|5../.test(answer.status as unknown as string);
      wait = +answer.headers.get("retry-after")!;
    }
  } catch {
    // No network, or no keepalive room left: the same as no answer.
  }
  batch.forEach((event) => flying.delete(event) && answered && queue.delete(event));
  if (answered) {
    failures = 0;
    flush();
  } else {
    wait = (wait || 2 ** Math.min(failures++, 8)) * (1e3 + Math.random() * 250);
    closedUntil = Date.now() + wait;
    setTimeout(flush, wait + 99);
  }
};

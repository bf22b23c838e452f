import { useEffect, useState } from "preact/hooks";
import { address } from "../api/client";
import type { Latency } from "../api/types";

/** `time` in Unix milliseconds. */
export interface LiveEvent {
  id: string;
  site: string;
  time: number;
  type: string;
  page: string | null;
  /** The visit's; null where it came directly. */
  source: string | null;
  country: string | null;
  browser: string | null;
  device: string | null;
}

/** `minute` is its beginning in Unix milliseconds. */
export interface LiveMinute {
  minute: number;
  visitors: number;
  pageviews: number;
}

/** What the server streams: figures of the last five minutes, the last 30 minutes one by one, new events first. */
interface Message {
  visitors: number;
  minutes: LiveMinute[];
  latency_ms: Latency;
  events: LiveEvent[];
}

export interface Live {
  /** Null until the server has said so. */
  visitors: number | null;
  minutes: LiveMinute[];
  latency: Latency;
  /** The newest first. */
  events: LiveEvent[];
  connected: boolean;
}

const KEPT = 50;
const AGAIN_MS = 5000;
const NOTHING: Live = { visitors: null, minutes: [], latency: { p50: null, p95: null, p99: null }, events: [], connected: false };

/** What goes on at a site. A lost connection comes back by itself, and is told what it missed. */
export function useLive(site: string | null): Live {
  const [live, setLive] = useState(NOTHING);
  useEffect(() => {
    setLive(NOTHING);
    if (site === null) return undefined;
    let source: EventSource | null = null;
    let timer = 0;
    const take = (event: MessageEvent<string>, fresh: boolean) => {
      const { visitors, minutes, latency_ms, events } = JSON.parse(event.data) as Message;
      setLive((before) => ({
        visitors,
        minutes,
        latency: latency_ms,
        events: [...events, ...(fresh ? [] : before.events)].slice(0, KEPT),
        connected: true,
      }));
    };
    const close = () => {
      clearTimeout(timer);
      source?.close();
      source = null;
    };
    const open = () => {
      const opened = new EventSource(address("/api/realtime", { site }));
      source = opened;
      opened.addEventListener("snapshot", (event) => take(event, true));
      opened.addEventListener("update", (event) => take(event, false));
      opened.onerror = () => {
        setLive((before) => ({ ...before, connected: false }));
        // The browser comes back after a lost connection, but not after an answer such as 503.
        if (opened.readyState === EventSource.CLOSED && opened === source) timer = setTimeout(open, AGAIN_MS);
      };
    };
    // A browser has six connections for a host; tabs that nobody sees must not hold them.
    const follow = () => {
      close();
      if (!document.hidden) open();
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      document.removeEventListener("visibilitychange", follow);
      close();
    };
  }, [site]);
  return live;
}

import { useEffect, useState } from "preact/hooks";
import { address } from "../api/client";
import type { Latency } from "../api/types";

export interface LiveEvent {
  id: string;
  type: string;
  page: string;
  source: string;
  country: string;
  time: string;
  latency_ms: number | null;
}

export interface Live {
  /** Visitors of the last five minutes; null until the server has said so. */
  visitors: number | null;
  /** The last 30 minutes, the oldest first. */
  minutes: { minute: string; visitors: number; pageviews: number }[];
  /** The newest first. */
  events: LiveEvent[];
  latency: Latency | null;
  connected: boolean;
}

const KEPT = 60;
const NOTHING: Live = { visitors: null, minutes: [], events: [], latency: null, connected: false };

/** What goes on at a site, as the server streams it. The browser reconnects by itself. */
export function useLive(site: string | null): Live {
  const [live, setLive] = useState(NOTHING);
  useEffect(() => {
    setLive(NOTHING);
    if (site === null) return undefined;
    const source = new EventSource(address("/api/realtime", { site }));
    source.onerror = () => setLive((before) => ({ ...before, connected: false }));
    source.onopen = () => setLive((before) => ({ ...before, connected: true }));
    return () => source.close();
  }, [site]);
  return live;
}

export { KEPT };

/** What the API answers, as far as the dashboard reads it. Times are RFC 3339. */

export interface SiteSummary {
  name: string;
  time_zone: string;
}

export interface Session {
  name: string;
  scopes: string[];
  site: string | null;
  admin: boolean;
  sites: SiteSummary[];
}

/** Counts of a site, by metric. */
export type SiteCounts = Record<"visitors" | "visits" | "pageviews", number>;

export interface SiteFigures {
  site: string;
  date_range: [string, string];
  metrics: SiteCounts;
  comparison: { metrics: SiteCounts; change: SiteCounts };
  /** Visitors by hour, day, week or month; empty where they are not known any more. */
  series: number[];
  visitors_now: number;
}

/** Sites side by side. */
export interface Portfolio {
  results: SiteFigures[];
  meta: { total_rows: number; metric_warnings?: Record<string, { warning: string }> };
}

export interface Site extends SiteSummary {
  host_names: string[];
  excluded_addresses: string[];
  excluded_paths: string[];
  aliases: string[];
  created_at: string;
  rebuild_wanted: boolean;
}

export interface Goal {
  name: string;
  event_type: string | null;
  page_pattern: string | null;
}

/** Reached by an event's name or a page, and where it asks for one, by a property's value. */
export interface Step {
  event_type?: string;
  page_pattern?: string;
  property?: string;
  value?: string;
}

export interface Funnel {
  name: string;
  steps: Step[];
}

export interface FunnelAnswer {
  results: { step: Step; reached: number; share: number | null; drop_off: number | null; median_seconds: number | null }[];
  total: number;
  entry_rate: number | null;
  query: { by: "visitor" | "visit" };
  meta: { metric_warnings?: { reached?: { warning: string } } };
}

export interface PublicLink {
  name: string;
  created_at: string;
}

export interface Token {
  name: string;
  scopes: string[];
  site: string | null;
  created_at: string;
  last_used_at: string | null;
  revoked_at: string | null;
}

export interface LedgerMinute {
  minute: string;
  accepted: number;
  counted: number;
  duplicate: number;
  rejected: Record<string, number>;
  in_flight: number;
  refused: Record<string, number>;
  ignored: Record<string, number>;
  unattested: number;
  latency_ms: Latency;
}

export interface Latency {
  p50: number | null;
  p95: number | null;
  p99: number | null;
}

export interface Receipt {
  event_id: string;
  state: "spooled" | "logged" | "counted" | "duplicate" | "rejected";
  partition: number | null;
  offset: number | null;
  accepted_at: string | null;
  counted_at: string | null;
}

import { toApi, type ApiFilter, type Filter } from "../filter";
import type { Metric } from "../metric";
import type { Span } from "../period";
import { address, call } from "./client";

/** A question in the query language (Plausible's Stats API v2). */
export interface Query {
  site_id: string;
  metrics: Metric[];
  date_range: string | [string, string];
  dimensions?: string[];
  filters?: ApiFilter[];
  order_by?: [string, "asc" | "desc"][];
  include?: {
    comparisons?: { mode: "previous_period" | "year_over_year" } | { mode: "custom"; date_range: [string, string] };
    time_labels?: boolean;
    total_rows?: boolean;
  };
  pagination?: { limit: number; offset?: number };
}

export type Value = number | null;

export interface Row {
  dimensions: string[];
  metrics: Value[];
  comparison?: { metrics: Value[]; change: Value[] };
}

export interface Answer {
  results: Row[];
  meta: {
    time_labels?: string[];
    total_rows?: number;
    metric_warnings?: Record<string, { code: string; warning: string }>;
  };
}

/** What every question of one view shares. */
export interface Scope {
  site: string;
  range: string | [string, string];
  filters: Filter[];
}

export const rangeOf = (span: Span | null): Scope["range"] => (span ? [span.from, span.to] : "all");

/** The beginning of a question. */
export const about = (scope: Scope): Pick<Query, "site_id" | "date_range" | "filters"> => ({
  site_id: scope.site,
  date_range: scope.range,
  filters: scope.filters.map(toApi),
});

/** Ask one question. Throws ApiFailure. */
export const ask = (query: Query, signal?: AbortSignal) =>
  call<Answer>("POST", address("/api/v2/query"), query, signal);

import { PROPERTY_NAMES } from "../dimension";
import { about, type Scope } from "./query";
import { useQuery } from "./use-query";

const MOST = 1000;

/** The names of the properties that events of the period carry; null while nothing is known about them. */
export function usePropertyNames(scope: Scope | null): string[] | null {
  const { data, failure } = useQuery(
    scope && { ...about(scope), metrics: ["visitors"], dimensions: [PROPERTY_NAMES], pagination: { limit: MOST } },
  );
  if (data) return data.results.map((row) => row.dimensions[0] ?? "");
  return failure ? [] : null;
}

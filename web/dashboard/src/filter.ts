export type Operator = "is" | "is_not" | "contains" | "contains_not";

export const OPERATOR_LABELS: Record<Operator, string> = {
  is: "is",
  is_not: "is not",
  contains: "contains",
  contains_not: "does not contain",
};

export interface Filter {
  operator: Operator;
  dimension: string;
  values: string[];
}

/** One comparison in the API's language. */
export type ApiFilter = [Operator, string, string[]] | [Operator, string, string[], { case_sensitive: boolean }];

export const toApi = ({ operator, dimension, values }: Filter): ApiFilter =>
  operator === "contains" || operator === "contains_not"
    ? [operator, dimension, values, { case_sensitive: false }]
    : [operator, dimension, values];

const escape = (text: string) => text.replace(/[\\,]/g, "\\$&");

/** A filter as it stands in the page's address: `is,visit:country,DE,FR`; a comma in a value is `\,`. */
export const formatFilter = ({ operator, dimension, values }: Filter) =>
  [operator, dimension, ...values].map(escape).join(",");

/** The filter that `formatFilter` wrote; null for anything else. */
export function parseFilter(text: string): Filter | null {
  const [operator, dimension, ...values] = split(text);
  if (!operator || !Object.hasOwn(OPERATOR_LABELS, operator) || !dimension || values.length === 0) return null;
  return { operator: operator as Operator, dimension, values };
}

function split(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (let index = 0; index < text.length; index++) {
    const char = text.charAt(index);
    if (char === ",") {
      parts.push(part);
      part = "";
    } else part += char === "\\" ? text.charAt(++index) : char;
  }
  return [...parts, part];
}

/** `filters` with `dimension is value` in place of what they say of the dimension by now. */
export const withValue = (filters: Filter[], dimension: string, value: string): Filter[] => [
  ...filters.filter((filter) => filter.dimension !== dimension || filter.operator !== "is"),
  { operator: "is", dimension, values: [value] },
];

/** The one value that `dimension` is filtered to; null when there is none, or more. */
export function onlyValue(filters: Filter[], dimension: string): string | null {
  const found = filters.find((filter) => filter.dimension === dimension && filter.operator === "is");
  return found?.values.length === 1 ? (found.values[0] ?? null) : null;
}

/** Whether any filter looks at single events, for which whole visits have no figure. */
export const byEvent = (filters: Filter[]) => filters.some((filter) => filter.dimension.startsWith("event:"));


import { countryName } from "./format";

/** Dimensions that people filter on, with what they are called. */
export const DIMENSION_LABELS: Record<string, string> = {
  "event:page": "Page",
  "visit:entry_page": "Entry page",
  "visit:exit_page": "Exit page",
  "visit:source": "Source",
  "visit:channel": "Channel",
  "visit:referrer": "Referrer",
  "visit:utm_campaign": "UTM campaign",
  "visit:utm_source": "UTM source",
  "visit:utm_medium": "UTM medium",
  "visit:utm_term": "UTM term",
  "visit:utm_content": "UTM content",
  "visit:country": "Country",
  "visit:region": "Region",
  "visit:city": "City",
  "visit:browser": "Browser",
  "visit:browser_version": "Browser version",
  "visit:os": "Operating system",
  "visit:os_version": "OS version",
  "visit:device": "Device",
  "visit:screen": "Screen",
  "event:goal": "Goal",
  "event:name": "Event",
  "event:hostname": "Host name",
};

/** The dimension whose values are the properties' names. */
export const PROPERTY_NAMES = "event:props";
export const PROPERTY = "event:props:";

/** What a dimension is called. */
export const dimensionLabel = (dimension: string) =>
  dimension.startsWith(PROPERTY) ? dimension.slice(PROPERTY.length) : (DIMENSION_LABELS[dimension] ?? dimension);

const EVENT_NAMES: Record<string, string> = {
  page_view: "Page view",
  click: "Click",
  time_spent: "Time spent",
  navigation: "Navigation",
};

/** What an event's type is called. */
export const eventLabel = (type: string) => EVENT_NAMES[type] ?? type;

/** A dimension's value as people read it. */
export function valueLabel(dimension: string, value: string): string {
  if (value === "") return "(none)";
  if (dimension === "visit:country") return countryName(value);
  if (dimension === "event:name") return eventLabel(value);
  return value;
}

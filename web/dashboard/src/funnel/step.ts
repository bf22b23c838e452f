import type { Step } from "../api/types";
import { eventLabel } from "../dimension";

/** A step as people read it: /pricing*, or signup (plan: pro). */
export function stepLabel({ event_type, page_pattern, property, value }: Step): string {
  const label = page_pattern ?? eventLabel(event_type ?? "");
  return property ? `${label} (${property}: ${value})` : label;
}

/** All steps, one after the other. */
export const stepsLabel = (steps: Step[]) => steps.map(stepLabel).join(" → ");

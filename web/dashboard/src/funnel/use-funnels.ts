import { address, get } from "../api/client";
import type { Funnel } from "../api/types";
import { useFound } from "../api/use-query";
import { sitePath } from "../settings/settings";

/** The funnels that a site keeps, asked for again when `changed` does. */
export const useFunnels = (site: string, changed: number) =>
  useFound(site, changed, (signal) => get<{ funnels: Funnel[] }>(address(sitePath(site, "/funnels")), signal));

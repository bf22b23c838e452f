/** Which page this is, and where the visitor came from. */
import { options } from "./options.js";

export let page: string;
export let referrer: string;
let address: string;
let route: string;

const currentRoute = (): string =>
  (location.pathname + (options.hash != null ? location.hash.split("?")[0] : "")).replace(/\/?#!?\/?/, "/");

export const moved = (): boolean => currentRoute() != route;

export const arrive = (): void => {
  referrer = address ?? document.referrer;
  address = location.href;
  route = currentRoute();
  page = route + location.search;
};

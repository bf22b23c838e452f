/** Clicks on what can be clicked, and forms sent: one event each, named by the innermost thing that matches. */
import { on } from "./listen.js";
import { record } from "./record.js";

const CLICKABLE = "a[href],button,[role=button],[type=submit],[type=button],[data-analytics-event]:not(form)";
const FILE =
  /\.(pdf|(doc|xls|ppt)x?|csv|epub|zip|rar|7z|t?gz|dmg|exe|msi|pkg|deb|rpm|apk|iso|mp[34]|wav|mov)$/i;

const kind = (link: HTMLAnchorElement): string =>
  link.hasAttribute("download") || FILE.test(link.pathname)
    ? "file_download"
    : !link.host
      ? "click"
      : link.host == location.host
        ? "navigation"
        : "outbound_link";

export const watchClicks = (): void =>
  on("click auxclick submit", (event: MouseEvent) => {
    const sent = event.type == "submit";
    const element = event
      .composedPath()
      .find((node) => (node as Element).matches?.(sent ? "form" : CLICKABLE)) as HTMLAnchorElement;
    if (!element || event.button > 1) return;
    // Attributes, not properties: a form's fields can hide its properties, and an SVG's are objects.
    const attribute = (name: string) => element.getAttribute(name);
    record(attribute("data-analytics-event") || (sent ? "form_submit" : kind(element)), {
      target: {
        tag: element.localName,
        id: attribute("id"),
        class: attribute("class"),
        text: sent ? attribute("name") : (element.textContent!.trim() || attribute("value") || "").slice(0, 100),
        href: element.host ? element.href : element.protocol,
      },
    });
  });

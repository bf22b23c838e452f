import { useState } from "preact/hooks";
import { address, call, get } from "../api/client";
import type { Session, Site } from "../api/types";
import { useFound } from "../api/use-query";
import { Copy } from "../ui/copy";
import { Notice } from "../ui/notice";
import { snippet } from "../welcome";
import { AddSite } from "./add-site";
import { Danger } from "./danger";
import { Exclusions } from "./exclusions";
import { FunnelSettings } from "./funnels";
import { Goals } from "./goals";
import { Links } from "./links";
import { Section } from "./section";
import { SiteName } from "./site-name";
import { Tokens } from "./tokens";

export const sitePath = (site: string, rest = "") => `/api/sites/${encodeURIComponent(site)}${rest}`;

interface Props {
  session: Session;
  site: string | null;
  onSession: () => void;
}

/** What an administrator may change. */
export function Settings({ session, site, onSession }: Props) {
  const [changed, setChanged] = useState(0);
  const { data, failure } = useFound(site, changed, (signal) => get<Site>(address(sitePath(site ?? "")), signal));
  const renew = () => setChanged(changed + 1);
  return (
    <>
      <h2 class="page-title">Settings</h2>
      {failure && <Notice failure={failure} onRetry={renew} />}
      {data && data.name === site && (
        <>
          <Section title="Tracker" lead="The line that goes into the head of every page of this site." failure={null}>
            <Copy text={snippet(data.name)} label="Tracker snippet" />
          </Section>
          <SiteName site={data} onChanged={onSession} onRenew={renew} />
          <Exclusions site={data} onChanged={renew} />
          <Goals site={data.name} />
          <FunnelSettings site={data.name} />
          <Links site={data.name} />
        </>
      )}
      <Tokens session={session} site={site} />
      {session.site === null && <AddSite onAdded={onSession} />}
      {data && data.name === site && <Danger site={data.name} onDone={onSession} />}
    </>
  );
}

/** Changes a site's settings. */
export const patchSite = (site: string, change: Partial<Site>) => call<Site>("PATCH", sitePath(site), change);

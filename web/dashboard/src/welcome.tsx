import { Copy } from "./ui/copy";

/** The line that a site needs. */
export const snippet = (site: string) =>
  `<script defer src="${location.origin}/tracker.js"${site === "" || site === "default" ? "" : ` data-site="${site}"`}></script>`;

/** What stands where the numbers will be, until the first event of a site arrives. */
export function Welcome({ site }: { site: string | null }) {
  return (
    <section class="card welcome" aria-labelledby="welcome-title">
      <h2 id="welcome-title">Waiting for the first visitor</h2>
      <p>
        Put this line into the <code>&lt;head&gt;</code> of your pages. This page turns into numbers when the first event arrives.
      </p>
      <Copy text={snippet(site ?? "")} label="Tracker snippet" />
      <p class="waiting" role="status">
        <span class="dot" aria-hidden="true" /> Listening for events{site ? ` of ${site}` : ""}
      </p>
      <p class="soft">
        Just looking? <code>portfolio-analytics demo --days 30</code> sends made-up visits to a site of their own.
      </p>
    </section>
  );
}

import type { SiteSummary } from "../api/types";
import { Combobox } from "../ui/combobox";
import { useNavigation } from "../view";

/** Chooses the site that the page is about. */
export function SiteSwitcher({ sites, site }: { sites: SiteSummary[]; site: string }) {
  const { view, go } = useNavigation();
  return (
    <div class="site-switcher">
      <Combobox
        label="Site"
        value={site}
        options={sites.map(({ name }) => name)}
        onChoose={(name) => go({ site: name, filters: [], details: null, page: view.page === "sites" ? "overview" : view.page })}
      />
    </div>
  );
}

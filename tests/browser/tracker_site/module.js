import { init } from "__TRACKER__/npm/index.js";
import { vitals } from "__TRACKER__/npm/vitals.js";

const analytics = init({ host: "__TRACKER__", site: "bundled.example" });
vitals(analytics.track);
analytics.track("ready", { by: "import" });

// What the dashboard asks of Prometheus.
import { readFileSync } from "node:fs";

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

/** Every query, as Grafana sends it where all databases are chosen. */
export function dashboardQueries(): { panel: string; expr: string }[] {
  const { panels } = JSON.parse(readFileSync("scripts/monitoring/dashboard.json", "utf8")) as {
    panels: Panel[];
  };
  return panels.flatMap(({ title, targets }) =>
    (targets ?? []).map(({ expr }) => ({
      panel: title,
      expr: expr.replaceAll("$instance", ".+").replaceAll("$__rate_interval", "1m"),
    })),
  );
}

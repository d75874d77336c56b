// Prints the queries of the dashboard as a file of rules, which promtool can check.
import { dashboardQueries } from "./dashboard.ts";

const rules = dashboardQueries().map(
  ({ expr }, index) => `      - record: dashboard:${index}\n        expr: ${JSON.stringify(expr)}`,
);
console.log(`groups:\n  - name: dashboard\n    rules:\n${rules.join("\n")}`);

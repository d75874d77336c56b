// What a reader gets: every page of PAGES, narrow and wide, light and dark. SHOTS, a folder, keeps pictures.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const { PAGES: folder, BROWSER: executablePath, SHOTS: shots } = process.env;
assert(folder && executablePath, "PAGES and BROWSER are not set: run scripts/test page");
const pages = readdirSync(folder).filter((name) => name.endsWith(".html"));
assert(pages.length > 0, "there is no page to look at");

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
after(() => browser.close());

// In the page, which has no script of its own: what stands out of the window without a box to scroll it in.
const cutOff = `[...document.querySelectorAll("body *")].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1)
    && !element.closest(".scroll") && !element.closest("svg");
}).map((element) => element.outerHTML.slice(0, 100))`;
// Text that leaves the box it is in.
const overflows = `[...document.querySelectorAll(".row > *, .card > *, .tiles > *, .column > *, .axis > *")]
  .filter((element) => element.scrollWidth > element.clientWidth + 1 && element.tagName !== "svg")
  .map((element) => element.outerHTML.slice(0, 100))`;

for (const page of pages) {
  for (const width of [360, 1280]) {
    for (const colorScheme of ["light", "dark"] as const) {
      test(`${page}, ${width} pixels, ${colorScheme}`, async () => {
        const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
        const view = await context.newPage();
        const url = pathToFileURL(join(folder, page)).href;
        const said: string[] = [];
        const requests: string[] = [];
        view.on("console", (message) => said.push(`${message.type()}: ${message.text()}`));
        view.on("pageerror", (error) => said.push(`error: ${error.message}`));
        view.on("dialog", (dialog) => {
          said.push(`dialog: ${dialog.message()}`);
          void dialog.dismiss();
        });
        view.on("request", (request) => requests.push(request.url()));
        await view.goto(url);

        assert.deepEqual(requests, [url], "nothing is loaded but the page");
        assert.equal(
          await view.evaluate("document.compatMode"),
          "CSS1Compat",
          "it is read as a standard page",
        );
        assert.equal(
          await view.evaluate(
            "document.querySelectorAll('script, iframe, object, img, link, form').length",
          ),
          0,
          "nothing in it can run or load",
        );
        assert.equal(
          await view.evaluate(
            "getComputedStyle(document.documentElement).getPropertyValue('--page').trim()",
          ),
          colorScheme === "light" ? "#f7f7f5" : "#121518",
          "its colours are those that the reader wants",
        );
        // Folded up, what is in the details is not seen.
        await view.evaluate(
          "document.querySelectorAll('details').forEach((element) => { element.open = true; })",
        );
        assert.ok(
          await view.evaluate("document.scrollingElement.scrollWidth <= innerWidth"),
          "the page does not scroll to the side",
        );
        assert.deepEqual(await view.evaluate(cutOff), [], "nothing is cut off");
        assert.deepEqual(await view.evaluate(overflows), [], "nothing stands out of its box");
        await view.evaluate(axe.source);
        const { violations, passes } = (await view.evaluate("axe.run()")) as axe.AxeResults;
        assert.deepEqual(
          violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html).slice(0, 3)]),
          [],
          "axe-core has no complaint",
        );
        assert.ok(
          passes.some(({ id, nodes }) => id === "color-contrast" && nodes.length > 20),
          "contrasts were looked at",
        );
        assert.deepEqual(said, [], "the browser says nothing");
        if (page.startsWith("lively")) {
          assert.ok(
            await view.evaluate("document.body.innerText.includes('<script>alert(1)</script>')"),
            "a name that is a script is read as a name",
          );
        }
        if (shots) {
          const name = `${page.replace(".html", "")}-${width}-${colorScheme}.png`;
          await view.evaluate(
            "document.querySelectorAll('details').forEach((element) => { element.open = false; })",
          );
          await view.screenshot({ path: join(shots, name), fullPage: true });
        }
        await context.close();
      });
    }
  }
}

import { testPage } from "../support/pages.mjs";

await testPage("admin", ["page"]);

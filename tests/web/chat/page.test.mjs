import { testPage } from "../support/pages.mjs";

await testPage("chat", ["page", "rooms.js", "rooms"]);

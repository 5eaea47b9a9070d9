import assert from "node:assert/strict";
import { access, readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

const WEB = new URL("../../../web/", import.meta.url);

/** Check the page `folder/index.html`, which loads its own modules and those of `others`. */
export async function testPage(folder, others) {
  const page = await readFile(new URL(`${folder}/index.html`, WEB), "utf8");
  const all = (pattern) => [...page.matchAll(pattern)].map(([, value]) => value);

  test("everything that the page loads is there", async () => {
    const addresses = all(/(?:href|src)="(\/[^"]*)"/g);
    for (const address of addresses) {
      assert.match(address, /^\/static\//);
      await access(new URL(address.slice("/static/".length), WEB));
    }
  });

  test("every module is asked for at once, not only when another has named it", async () => {
    const modules = [...others.filter((name) => name.endsWith(".js"))];
    for (const each of [folder, ...others.filter((name) => !name.endsWith(".js"))]) {
      modules.push(...(await modulesIn(each)));
    }
    const asked = all(/(?:modulepreload" href|module" src)="\/static\/([^"]*)"/g);
    assert.deepEqual(asked.sort(), modules.sort());
  });

  test("the page has neither scripts nor styles of its own", () => {
    assert.doesNotMatch(page, /<style|<script(?![^>]* src=)| style=| on[a-z]+=/);
  });

  test("whatever the page refers to by id exists once", () => {
    const ids = all(/ id="([^"]*)"/g);
    assert.equal(new Set(ids).size, ids.length);
    const references = all(/ (?:for|aria-controls|aria-labelledby|aria-describedby)="([^"]*)"/g);
    for (const id of [...references, ...all(/ href="#(\w[^"]*)"/g)]) assert.ok(ids.includes(id), id);
  });
}

async function modulesIn(folder) {
  const names = await readdir(new URL(folder, WEB));
  return names.filter((name) => name.endsWith(".js")).map((name) => `${folder}/${name}`);
}

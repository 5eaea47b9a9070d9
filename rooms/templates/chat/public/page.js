import { connect } from "/static/rooms.js";

const find = (selector) => document.querySelector(selector);
const status = (text) => (find("[role=status]").textContent = text);

function show({ payload }) {
  const line = document.createElement("li");
  line.textContent = `${payload.who}: ${payload.text}`; // text, never HTML
  find("#log").append(line);
  line.scrollIntoView();
}

find("#enter").addEventListener("submit", async (event) => {
  event.preventDefault();
  const name = event.target.elements.name.value;
  const secret = crypto.randomUUID();
  const client = connect("/ws", { signIn: (client) => client.authenticate({ name, secret }) });
  client.onState(({ state, error }) => status(error?.message ?? (state === "open" ? "" : state)));
  try {
    await enter(await client.join("chat/lobby"));
    event.target.hidden = true;
  } catch (error) {
    client.close();
    status(error.message);
  }
});

async function enter(room) {
  room.on("said", show);
  room.onPresence(({ count }) => (find("#people").textContent = `${count} here`));
  const { publications } = await room.history({ limit: 50 });
  publications.reverse().forEach(show);
  find("#room").hidden = false;
  find("#say").addEventListener("submit", async (event) => {
    event.preventDefault();
    const { text } = event.target.elements;
    try {
      await room.send("say", { text: text.value });
      text.value = "";
    } catch (error) {
      status(error.message);
    }
  });
}

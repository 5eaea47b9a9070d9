import { connect } from "/static/rooms.js";

const client = connect("/ws");
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await client.request("greet", { name: form.elements.name.value });
    status.textContent = answer.text;
  } catch (error) {
    status.textContent = error.message;
  }
});

// Shows the description, and logs in by the refresh cookie where there is one. Tokens
// are in the page's memory alone, and no validator elsewhere is asked.
import { api, isLoggedIn, login, logout, onChange } from "../client.js";

const form = document.querySelector("form");
const [fields, button, output] = form.querySelectorAll("#logged-out, button, output");

function show(isIn) {
  fields.hidden = isIn;
  button.textContent = isIn ? "Log out" : "Log in";
}
onChange(show);
show(isLoggedIn());

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { username, password } = form.elements;
  const answer = await (isLoggedIn() ? logout() : login(username.value, password.value));
  output.value = answer.ok ? "" : (await answer.json()).detail;
  if (answer.ok) form.reset();
});

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
  requestInterceptor(request) {
    const call = (url, options) => api(new URL(url, document.baseURI), options);
    // A token that was given by hand goes first.
    return request.headers["Authorization"] ? request : { ...request, userFetch: call };
  },
});

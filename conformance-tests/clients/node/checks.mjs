// Runs checks by name, one line each.

export class Checks {
  constructor(client) {
    this.client = client;
    this.passed = true;
  }

  async run(name, body) {
    try {
      await body();
      console.log(`ok    ${this.client}: ${name}`);
    } catch (failure) {
      this.passed = false;
      const at = /([a-z_]+\.mjs):(\d+)/g;
      const lines = [...(failure.stack ?? '').matchAll(at)].map(([line]) => line).slice(0, 3).join(' < ');
      console.log(`FAIL  ${this.client}: ${name}: ${lines}: ${failure.message}`);
    }
  }
}

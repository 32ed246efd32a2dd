import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['*.fixture.js'],
    reporters: ['default', '@coracle/tooling-vitest/summary-reporter'],
  },
})

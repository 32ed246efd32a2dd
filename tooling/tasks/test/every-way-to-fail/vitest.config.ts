import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['*.fixture.js'],
    reporters: ['default', '../../summary-reporter.js'],
  },
})

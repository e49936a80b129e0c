import { defineConfig } from 'vitest/config'

const conditions = ['@leastwise/source', 'import', 'module', 'node', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/peers/**', '**/node_modules/**', '**/dist/**'],
    setupFiles: ['test/support/matchers.ts'],
    reporters: ['default', './tools/closing-line.mjs'],
    testTimeout: 30_000,
    maxWorkers: 2,
    hookTimeout: 30_000,
  },
})

import { defineConfig } from 'vitest/config'

const conditions = ['@leastwise/source', 'import', 'module', 'node', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/peers/**/*.test.ts'],
    setupFiles: ['test/support/matchers.ts'],
    reporters: ['default', './tools/closing-line.mjs', './tools/skipped-peers.mjs'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})

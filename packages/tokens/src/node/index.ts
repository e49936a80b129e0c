export { systemDigest, systemRandom } from './system.ts'

// What browsers have and TypeScript's library for pages does not: files that a worker writes
// synchronously. And what the page's build says of itself.

declare const __BUILD__: { version: string; commit: string; source: string };

interface FileSystemSyncAccessHandle {
  getSize(): number;
  write(bytes: AllowSharedBufferSource, options?: { at?: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(): Promise<FileSystemSyncAccessHandle>;
  /** Renames within the folder. */
  move(name: string): Promise<void>;
}

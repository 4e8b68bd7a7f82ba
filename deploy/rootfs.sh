#!/usr/bin/env bash
# rootfs.sh BINARY FOLDER: what an image of a binary holds, in a folder. Times are SOURCE_DATE_EPOCH's, so that the same files
# give the same image.
set -euo pipefail
binary=$1 root=$2

mkdir -p "$root/etc/ssl/certs" "$root/tmp"
install -m 0755 "$binary" "$root/$(basename "$binary")"
# The libraries that it is linked with, and the loader, where it looks for them.
ldd "$binary" | grep -oE '/[^ ]+' | while read -r library; do
  install -D -m 0755 "$(readlink -f "$library")" "$root$library"
done
# Names are looked up through these.
for library in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
  # Read to the end: a reader that leaves early ends ldconfig by a signal.
  found=$(ldconfig -p | awk -v name="$library" '$1 == name && !found { found = $NF } END { print found }')
  if [ -n "$found" ]; then install -D -m 0755 "$(readlink -f "$found")" "$root$found"; fi
done
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
printf 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin\n' > "$root/etc/passwd"
printf 'nonroot:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
chmod 0755 "$root" "$root/etc"
chmod 1777 "$root/tmp"
find "$root" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +

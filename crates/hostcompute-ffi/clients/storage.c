/*
 * storage.c - a C program that imports a layer, writes above it, exports what was written and destroys everything.
 *
 * It works below the folder that the environment's TMPDIR names, in a mount namespace of its own, as root.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "computestorage.h"

static char folder[512];

/* A text with the folder in the place of each %s, as UTF-16. Eight of them live at a time. */
static const char16_t *below(const char *format)
{
    static char16_t texts[8][4096];
    static unsigned next;
    char16_t *text = texts[next++ % 8];
    size_t length = 0;
    for (; *format; format++) {
        const char *part = format, *end = format + 1;
        if (format[0] == '%' && format[1] == 's') {
            part = folder;
            end = folder + strlen(folder);
            format++;
        }
        for (; part < end; part++) {
            HOLDS(length + 1 < 4096);
            text[length++] = (unsigned char)*part;
        }
    }
    text[length] = 0;
    return text;
}

static void path(char *into, size_t size, const char *name)
{
    HOLDS(snprintf(into, size, "%s/%s", folder, name) < (int)size);
}

static void make(const char *name)
{
    char full[1024];
    path(full, sizeof full, name);
    HOLDS(mkdir(full, 0755) == 0);
}

static void write_file(const char *name, const char *text)
{
    char full[1024];
    path(full, sizeof full, name);
    FILE *file = fopen(full, "w");
    HOLDS(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static int is_there(const char *name)
{
    char full[1024];
    path(full, sizeof full, name);
    return access(full, F_OK) == 0;
}

int main(void)
{
    static const char NONE[] = "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[]}";
    static const char ONE[] = "{\"SchemaVersion\":{\"Major\":2,\"Minor\":1},\"Layers\":[{\"Path\":\"%s/base\"}]}";
    const char *temporary = getenv("TMPDIR");
    PWSTR text;

    snprintf(folder, sizeof folder, "%s/hostcompute-storage-XXXXXX", temporary ? temporary : "/tmp");
    HOLDS(mkdtemp(folder) != NULL);
    make("source");
    make("source/Files");
    write_file("source/Files/greeting", "hello\n");

    EXPECT(0, HcsImportLayer(below("%s/base"), below("%s/source"), below(NONE)));
    HOLDS(is_there("base/greeting"));
    EXPECT(0, HcsSetupBaseOSLayer(below("%s/base"), NULL, NULL));
    EXPECT(0, HcsInitializeWritableLayer(below("%s/scratch"), below(ONE), NULL));
    EXPECT(0, HcsAttachLayerStorageFilter(below("%s/scratch"), below(ONE)));
    HOLDS(is_there("scratch/greeting"));
    write_file("scratch/new", "written above\n");
    EXPECT((HRESULT)0x80070020, HcsDestroyLayer(below("%s/base")));
    EXPECT((HRESULT)0x80070020, HcsDestroyLayer(below("%s/scratch")));
    EXPECT(0, HcsDetachLayerStorageFilter(below("%s/scratch")));
    EXPECT((HRESULT)0x80070490, HcsDetachLayerStorageFilter(below("%s/scratch")));
    HOLDS(!is_there("base/new"));
    EXPECT(0, HcsExportLayer(below("%s/scratch"), below("%s/exported"), below(ONE), u"{\"IsWritableLayer\":true}"));
    HOLDS(is_there("exported/Files/new"));
    HOLDS(!is_there("exported/Files/greeting"));

    /* Mistakes. */
    EXPECT(HOSTCOMPUTE_E_POINTER, HcsImportLayer(NULL, u"/", u"{}"));
    EXPECT(HOSTCOMPUTE_E_POINTER, HcsImportLayer(below("%s/x"), below("%s/source"), NULL));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsDestroyLayer(u"base"));
    EXPECT((HRESULT)0x80070003, HcsDestroyLayer(below("%s/nothing")));
    EXPECT((HRESULT)0x8037010d, HcsInitializeWritableLayer(below("%s/x"), u"{\"Layer\":[]}", NULL));
    EXPECT(HOSTCOMPUTE_E_INVALIDARG, HcsInitializeWritableLayer(below("%s/x"), below(ONE), u"{\"Size\":1}"));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsFormatWritableLayerVhd(NULL));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsFormatWritableLayerVhd((HANDLE)-1));
    EXPECT(HOSTCOMPUTE_E_HANDLE, HcsFormatWritableLayerVhd((HANDLE)(intptr_t)12345));
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY);
    HOLDS(descriptor > 0);
    EXPECT(HOSTCOMPUTE_E_NOTSUPPORTED, HcsFormatWritableLayerVhd((HANDLE)(intptr_t)descriptor));
    EXPECT(0, HcsGetLayerVhdMountPath((HANDLE)(intptr_t)descriptor, &text));
    HOLDS(has(text, folder));
    HostComputeFree(text);
    HOLDS(close(descriptor) == 0);

    EXPECT(0, HcsDestroyLayer(below("%s/scratch")));
    EXPECT(0, HcsDestroyLayer(below("%s/exported")));
    EXPECT(0, HcsDestroyLayer(below("%s/source")));
    EXPECT(0, HcsDestroyLayer(below("%s/base")));
    HOLDS(!is_there("base"));
    HOLDS(rmdir(folder) == 0);
    puts("storage.c: ok");
    return 0;
}
